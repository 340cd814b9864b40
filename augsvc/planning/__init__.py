"""From a specification to passes, and from draws to what each pass is given."""
