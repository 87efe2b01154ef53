package ocsf

// event is an event of one of the five classes: those attributes that we fill.
// Names and types are OCSF's.
type event struct {
	ActivityID   int            `json:"activity_id"`
	ActivityName string         `json:"activity_name,omitempty"`
	CategoryUID  int            `json:"category_uid"`
	CategoryName string         `json:"category_name"`
	ClassUID     int            `json:"class_uid"`
	ClassName    string         `json:"class_name"`
	TypeUID      int            `json:"type_uid"`
	TypeName     string         `json:"type_name"`
	Time         int64          `json:"time"`
	SeverityID   int            `json:"severity_id"`
	Severity     string         `json:"severity"`
	StatusID     int            `json:"status_id"`
	Status       string         `json:"status"`
	StatusCode   string         `json:"status_code,omitempty"`
	StatusDetail string         `json:"status_detail,omitempty"`
	Metadata     metadata       `json:"metadata"`
	Cloud        cloud          `json:"cloud"`
	Actor        *actor         `json:"actor,omitempty"`
	SrcEndpoint  *endpoint      `json:"src_endpoint,omitempty"`
	HTTPRequest  *httpRequest   `json:"http_request,omitempty"`
	User         *user          `json:"user,omitempty"`
	Group        *group         `json:"group,omitempty"`
	Entity       *entity        `json:"entity,omitempty"`
	EntityResult *entity        `json:"entity_result,omitempty"`
	Privileges   []string       `json:"privileges,omitempty"`
	Resource     *resource      `json:"resource,omitempty"`
	Resources    []resource     `json:"resources,omitempty"`
	Service      *service       `json:"service,omitempty"`
	Unmapped     map[string]any `json:"unmapped,omitempty"`
	RawData      string         `json:"raw_data,omitempty"`
}

type metadata struct {
	Version          string   `json:"version"`
	Product          product  `json:"product"`
	Profiles         []string `json:"profiles"`
	UID              string   `json:"uid"`
	OriginalEventUID string   `json:"original_event_uid"`
	EventCode        string   `json:"event_code,omitempty"`
	TenantUID        string   `json:"tenant_uid"`
	OriginalTime     string   `json:"original_time"`
	LogName          string   `json:"log_name"`
	IsTruncated      bool     `json:"is_truncated,omitempty"`
	UntruncatedSize  int      `json:"untruncated_size,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type cloud struct {
	Provider string       `json:"provider"`
	Org      organization `json:"org"`
	Account  *account     `json:"account,omitempty"`
}

type organization struct {
	UID  string `json:"uid"`
	Name string `json:"name,omitempty"`
}

type account struct {
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
}

type actor struct {
	User    *user    `json:"user,omitempty"`
	Session *session `json:"session,omitempty"`
}

type session struct {
	CredentialUID string `json:"credential_uid"`
}

type user struct {
	UID         string       `json:"uid,omitempty"`
	Name        string       `json:"name,omitempty"`
	EmailAddr   string       `json:"email_addr,omitempty"`
	TypeID      int          `json:"type_id"`
	Credentials []credential `json:"programmatic_credentials,omitempty"`
}

// The types of a user.
const (
	userTypeUnknown = 0
	userTypeUser    = 1
	userTypeService = 4
)

type credential struct {
	UID  string `json:"uid"`
	Type string `json:"type,omitempty"`
}

type endpoint struct {
	IP               string            `json:"ip"`
	Location         *location         `json:"location,omitempty"`
	AutonomousSystem *autonomousSystem `json:"autonomous_system,omitempty"`
	Fingerprints     []fingerprint     `json:"fingerprints,omitempty"`
}

type location struct {
	Country string   `json:"country,omitempty"`
	Region  string   `json:"region,omitempty"`
	City    string   `json:"city,omitempty"`
	Lat     *float64 `json:"lat,omitempty"`
	Long    *float64 `json:"long,omitempty"`
}

type autonomousSystem struct {
	Number int64 `json:"number"`
}

type fingerprint struct {
	AlgorithmID int    `json:"algorithm_id"`
	Algorithm   string `json:"algorithm"`
	Value       string `json:"value"`
}

type httpRequest struct {
	UserAgent string `json:"user_agent"`
}

type group struct {
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
}

type entity struct {
	UID    string        `json:"uid,omitempty"`
	Name   string        `json:"name,omitempty"`
	TypeID int           `json:"type_id"`
	Type   string        `json:"type"`
	Org    *organization `json:"org,omitempty"`
	User   *user         `json:"user,omitempty"`
	Data   any           `json:"data,omitempty"`
}

type resource struct {
	UID  string `json:"uid"`
	Type string `json:"type,omitempty"`
}

type service struct {
	Name string `json:"name"`
}
