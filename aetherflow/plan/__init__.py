"""From a checked flow file to a plan: the graph of jobs with every template and condition compiled."""
