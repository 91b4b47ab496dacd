"""What PyTorch makes of a call: compiled, captured as a CUDA graph, timed."""

import time

#: How often a call is timed, and about how long.
TURNS, TURN_SECONDS = 3, 0.01
#: One that takes longer than so many seconds is timed once; than so many, without a warm-up.
SLOW, VERY_SLOW = 0.3, 3


def captured(torch, call, device):
    """The replay of a CUDA graph of the call, and True; the call, and why not."""
    if device == "cpu":
        return call, "not on the CPU"
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    try:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph):
            found = call()
    except RuntimeError as error:
        torch.cuda.synchronize()
        return call, what_it_says(error)

    def replay():
        graph.replay()
        return found

    return replay, True


def seconds(torch, call, device):
    """Fewest seconds of a call, without the host's part where it can be captured."""
    call, _ = captured(torch, call, device)
    first = clock(torch, call, device, 1)
    if first > VERY_SLOW:
        return first
    spent = clock(torch, call, device, 1)
    if spent > SLOW:
        return spent
    count = max(1, round(TURN_SECONDS / max(spent, 1e-6)))
    return min(clock(torch, call, device, count) for _ in range(TURNS))


def clock(torch, call, device, count):
    """Mean seconds of a call."""
    if device == "cpu":
        start = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - start) / count
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / count


def what_it_says(error):
    """The first line of an error, and its kind."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300]
