"""maskwright: masked and denoising pre-training, composed from the command line."""

__version__ = "0.1.0"
