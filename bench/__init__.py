"""How fast it is: ratios against a floor that is measured in the same run. Run it with `make bench`."""
