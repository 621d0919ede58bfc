"""Tasks on top of a backbone's maps: classification, detection, segmentation."""
