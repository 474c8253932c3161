"""Published checkpoints → this framework. One module a family, with a function ``convert``."""
