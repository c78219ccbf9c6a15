"""Fresh processes, and whatever can go wrong with them: crashes, time, memory, full disks."""
