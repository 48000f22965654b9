"""The audit log: records of what was asked of the installation, files of them, and digests that show that nothing was changed since."""
