module vigil.monitoring/tools/upstream

go 1.22
