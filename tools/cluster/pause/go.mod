module mtj.test/pause

go 1.25.0
