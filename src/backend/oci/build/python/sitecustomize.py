"""Has the .pth files of this folder read, as Python does for site-packages but not for folders of PYTHONPATH."""


def _start():
    import importlib.machinery
    import importlib.util
    import os
    import site
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    # What this file hides: a base may have its own.
    others = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    site.addsitedir(here)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


_start()
del _start
