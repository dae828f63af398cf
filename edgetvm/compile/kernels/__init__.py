"""How operators are computed: loops over packed weights, for the schedule rules to arrange."""
