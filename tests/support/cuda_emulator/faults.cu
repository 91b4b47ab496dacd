// Faults that the emulator must report, one kernel each: its name, how many blocks it is launched
// with if not one, and the report as a regular expression; then its body. `x` has 64 floats, `i` is
// the thread of 64 in its block, `buffer` is 64 floats of dynamic shared memory, Four are four
// aligned floats. LINE stands for
//     __shared__ float line[64]; line[i] = i; __syncthreads();

//// out of bounds
// read_after_the_end: read of 4 .* element 64 of argument 0, .* 64$
buffer[i] = x[i + 1];
// read_before_the_start: read of 4 bytes .* -1 of argument 0
buffer[i] = x[i - 1];
// write_after_the_end: write of 4 bytes .* element 64 of argument 0
x[64 - i] = 1;
// write_far_away: write of 4 bytes .* element \d{7,} of argument 0
x[(i << 20) + i] = 1;
// vector_over_the_end: write of 16 bytes .* element 64 of dynamic shared memory, which has 64$
if (i <= 16) reinterpret_cast<Four*>(buffer)[i] = Four{1, 1, 1, 1};
// dynamic_after_the_end: .* element 64 of dynamic shared memory
buffer[i + 1] = 1;
// dynamic_before_the_start: .* element -1 of dynamic shared memory
buffer[i - 1] = 1;
// static_by_pointer: element 64 of shared line
LINE float* p = line; x[i] = p[i == 9 ? 64 : i];
// static_by_index: index 64 out of bounds of an array
LINE x[i] = line[i + 1];
// inner_index: index [0-9]+ out of bounds
__shared__ float tile[8][8]; tile[0][i] = 1;
// local_index: index [0-9]+ out of
float mine[4] = {}; mine[i % 4] = i; x[i] = mine[i];
// null_pointer: null or misaligned pointer
float* p = x + i; if (i == 9) p = nullptr; *p = 1;
// stray_pointer: a stray pointer
float* p = x + i; if (i == 9) p = (float*)4096; *p = 1;
// variable_of_another_thread: read of 4 bytes through a stray pointer
__shared__ int* p; int mine = i; if (i == 7) p = &mine; __syncthreads(); x[i] = *p;
// misaligned_vector: misaligned pointer
((Four*)(x + 1))[i / 32] = Four{0, 0, 0, 0};

//// not written
// static_unwritten: read of element 5 of shared line, which nobody has written
__shared__ float line[64]; if (i != 5) line[i] = 1; __syncthreads(); x[i] = line[63 - i];
// dynamic_unwritten: of dynamic shared memory, which nobody has written
x[i] = buffer[i];
// atomic_on_unwritten: atomic operation of element 0 of shared n, which nobody has written
__shared__ int n; atomicAdd(&n, i);
// written_by_the_block_before on 2 blocks: of shared line, which nobody has written
__shared__ float line[64], turn; if (i == 0) turn = atomicAdd(x, 1.0f); __syncthreads();
if (turn == 1) line[i] = 1; __syncthreads(); buffer[i] = line[i];

//// races
// missing_barrier: race: (read|write) of element \d+ of shared line, which thread .* has (written|read)
LINE line[i] = 2; x[i] = line[63 - i];
// missing_second_barrier: race: (read|write) of element \d+ of shared line, which thread .* has (written|read)
LINE float y = line[63 - i]; line[i] = y;
// all_write: race: write of element 0 of shared flag
__shared__ int flag; flag = 1;
// race_in_global_memory: race: write of element .* of argument 0
x[i / 2] = i;
// shuffle_is_no_barrier: race: read of element .* of shared line
LINE line[i] = 2; float y = __shfl_sync(~0u, line[i], 0); x[i] = line[i ^ 1] + y;
// warp_is_not_block: race: (read|write) of element .* of shared line
LINE line[i] = 2; __syncwarp(); x[i] = line[i ^ 32];
// write_after_others_read: race: (read|write) of element 0 of shared line, which thread .* has (written|read)
LINE float y = line[0]; if (i == 63) line[0] = 2; x[i] = y;
// syncwarp_of_half: race: (read|write) of element .* of shared line
LINE line[i] = 2; __syncwarp(i % 32 < 16 ? 0xffffu : 0xffff0000u); x[i] = line[i ^ 16];
// last_block_without_fence on 2 blocks: race between blocks: read of element [01] of argument 0, which another block has written
if (i) return; x[blockIdx.x] = 1; if (atomicAdd(x + 9, 1.0f) == 2) x[9] = x[0] + x[1];
// atomic_and_plain: race: (read|atomic operation) of element 0 of shared n
__shared__ int n; if (i == 0) n = 0; __syncthreads();
if (i < 63) atomicAdd(&n, 1); else x[i] = n;
// race_between_blocks on 2 blocks: race between blocks: write of .* of argument 0
x[i] = 1;

//// barriers
// barrier_of_some: barrier: thread \(40, 0, 0\) has returned
if (i < 40) __syncthreads();
// return_before_barrier: \(9, 0, 0\) has returned
if (i == 9) return; __syncthreads();
// two_barriers: divergent barrier: thread \(32, 0, 0\) waits at kernel.cu:\d+
if (i < 32) __syncthreads();
 else __syncthreads();

//// warps
// lanes_at_a_barrier: lane 0 waits for the lanes of the mask 0xffffffff, but thread \(16, 0, 0\) waits at
if (i % 32 < 16) __syncwarp(); __syncthreads();
// shuffle_of_some: reads lane 28, which
if (i < 60) x[i] = __shfl_sync(~0u, i, i + 1);
// shuffle_of_others: reads lane 20, which does not take part
if (i < 16) x[i] = __shfl_sync(0xffffu, i, 20);
// different_masks: lane 0 waits for the lanes of the mask 0xffffffff, but thread \(16, 0, 0\) waits at
__syncwarp(i % 32 < 16 ? ~0u : 0xffff0001u);
// caller_not_in_mask: lane \d+ calls .* 0x0000ffff does not name it
__syncwarp(0xffffu);

//// undefined behaviour
// signed_overflow: undefined behaviour: a signed addition
x[i] = i + 2147483600;
// shift_too_far: undefined behaviour: a shift
x[i] = 1 << i;
// division_by_zero: undefined behaviour: a division by zero
x[i] = 64 / (i - 9);
// float_too_large: undefined behaviour: a floating-point number
x[i] = int(1e9f * i);
