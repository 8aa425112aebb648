"""From looks at a machine to what is wrong with it, by rules alone."""
