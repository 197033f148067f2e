"""One call as data: the arguments of users, checked, in the form that all backends take."""
