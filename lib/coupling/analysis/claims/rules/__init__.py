"""The rules, in modules by what they compare. Every module of this folder is read for its rules."""

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
