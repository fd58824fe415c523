"""Adding."""
