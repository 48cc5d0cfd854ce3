"""What people see: plain data in, MIME bundles or widget traits out. Views know nothing of jobs or ledgers."""
