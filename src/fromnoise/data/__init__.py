"""Images in: packaged digits, torchvision's sets, folders and arrays, all as one type, `ImageSet`."""
