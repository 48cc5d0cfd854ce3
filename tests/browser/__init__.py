"""Front-end modules in a bare page in Chromium, and the finding of Chromium itself."""
