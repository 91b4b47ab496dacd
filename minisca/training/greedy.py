"""A stack's `fit`: layer after layer, each on what the one below makes of the images."""

from functools import partial
from pathlib import Path

from minisca.backends import get_backend
from minisca.communicators import Solo, as_communicator, on_images
from minisca.communicators.agreement import agree, described
from minisca.keeping import freed_after_errors
from minisca.scratch import Scratch
from minisca.training.arrivals import images_for
from minisca.training.epochs import fit_layer, make_watch
from minisca.training.images import fingerprint
from minisca.training.scikit_learn import fit_tasks
from minisca.training.split import choose_split
from minisca.validation import check_choice, check_images, check_resume, is_of_device


def fit(
    stack,
    X,
    encode_last,
    checkpoint=None,
    resume=False,
    callbacks=(),
    validation_images=None,
    scratch=None,
    keep_scratch=False,
    communicator=None,
    features_dtype=None,
):
    """See `Stack.fit`. Returns the fitted layers; and the last one's features, if wanted."""

    def check():
        if not is_of_device(X):
            check_images(X)
        stack.check_parameters()
        backends = [get_backend(layer.backend) for layer in stack.layers]
        images = images_for(backends[0], X)
        check_resume(resume, checkpoint)
        if features_dtype is not None:
            check_choice("features_dtype", features_dtype, ("float16", "float32", "float64"))
        watching = callbacks, validation_images, images, backends[0], stack.layers[0].dtype
        watched = make_watch(*watching)
        return images, fingerprint(images), watched, Scratch.checked(scratch, keep_scratch)

    def describe():
        checked = check()
        images, known, watched, _ = checked
        settings = {"centre": stack.centre, "depth": len(stack.layers), **watched.settings}
        settings |= {"scratch": scratch and str(scratch), "keep_scratch": keep_scratch}
        settings["features_dtype"] = features_dtype
        for number, layer in enumerate(stack.layers, start=1):
            own = layer.get_params(deep=False)
            settings |= {f"{name} of layer {number}": value for name, value in own.items()}
        choose_split(ranks, stack.layers[0], images.shape[1:])
        return checked, described(settings, ranks, X=known, validation_images=watched.known)

    ranks = None if communicator is None else as_communicator(communicator)
    checked = check() if ranks is None else agree(ranks, describe)
    backends = [get_backend(layer.backend) for layer in stack.layers]
    with freed_after_errors(*backends):
        how = encode_last, checkpoint, resume, ranks, features_dtype
        return _fit_layers(stack, backends, checked, *how)


def _fit_layers(stack, backends, checked, encode_last, checkpoint, resume, ranks, dtype):
    """`fit`, where all is checked."""
    features, images, watched, folder = checked
    if folder is not None:
        (ranks or Solo()).from_first(folder.make)
    layers = stack.layers
    paths = [None] * len(layers)
    if checkpoint is not None:
        paths = [Path(checkpoint) / f"layer{n}.npz" for n in range(1, len(layers) + 1)]
    fitted = []
    with fit_tasks(stack, features, len(layers), ranks is None or ranks.is_first) as tasks:
        for index, (layer, path) in enumerate(zip(layers, paths, strict=True)):
            if ranks is None:
                _remove_above(path, paths[index + 1 :], resume)
            else:
                ranks.from_first(_remove_above, path, paths[index + 1 :], resume)
            layer = type(layer)(**layer.get_params(deep=False))
            if index and stack.centre == "above-first":
                layer.set_params(centre=True)
            watched = watched._replace(number=index + 1)
            with tasks.layer(layer):
                fitted.append(fit_layer(layer, features, images, path, resume, watched, ranks))
            encode = partial(_encoded, layer, folder, ranks, index + 1)
            if index + 1 == len(layers):
                return fitted, encode(features, "features", "host", None) if encode_last else None
            above = backends[index + 1]
            to = "device" if above is backends[index] and not (folder or ranks) else "host"
            name = f"X of layer {index + 2}"
            features = images_for(above, encode(features, "features", to, dtype), name)
            if watched.images is not None:
                seen = encode(watched.images, "validation", to, dtype)
                watched = watched._replace(images=images_for(above, seen, name))
            if dtype is not None and index == 0:  # what the layers above remember to learn from
                images = images | {"dtype": f"{images['dtype']}, features in {dtype}"}


def _remove_above(path, above, resume):
    """Remove the files of the layers above one that starts afresh: they are of another run."""
    if path is not None and not (resume and path.exists()):
        for other in above:
            other.unlink(missing_ok=True)


def _encoded(layer, folder, ranks, number, X, what, to, dtype):
    """The layer's features of images X, of a dtype or its own: in the folder, or in memory."""
    if folder is not None:
        return folder.filled(f"{what}{number}", layer, X, ranks, dtype)
    if ranks is None:
        return layer.transform(X, to=to, dtype=dtype)
    return on_images.transform(ranks, layer, [layer], X, dtype=dtype)
