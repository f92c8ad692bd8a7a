"""The project's images: built by buildah, tried as a pod would run them, and listed with all that they bring."""
