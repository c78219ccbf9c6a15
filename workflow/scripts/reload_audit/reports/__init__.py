"""What people read: report, summary, JUnit XML, patches of model cards."""
