package telemetry

// CloseListener breaks the server, as an operating system might.
func (s *Server) CloseListener() { _ = s.listener.Close() }
