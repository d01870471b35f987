"""What kind of point has training reached? A trained model's loss, seen by `fastopt.curvature`."""
