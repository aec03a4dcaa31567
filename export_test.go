package aigateway

// SurfacePaths are the paths of all surfaces, for tests that must leave none out.
func SurfacePaths() []string {
	var paths []string
	for _, s := range surfaceTable() {
		paths = append(paths, s.path)
	}
	return paths
}
