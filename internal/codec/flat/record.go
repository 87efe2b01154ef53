package flat

import "time"

// Record is one openai.audit.AuditEvent: the columns in the order of the newest
// schema. A column that an older version lacks is left out when encoding, and
// has its default when decoding.
//
// Strings may share memory with each other; all of it is the record's own.
type Record struct {
	ID           string    `avro:"id" json:"id"`
	Type         string    `avro:"type" json:"type"`
	EventScope   string    `avro:"event_scope" json:"event_scope"`
	EffectiveAt  time.Time `avro:"effective_at" json:"effective_at"`
	IngestedAt   time.Time `avro:"ingested_at" json:"ingested_at"`
	Organization string    `avro:"organization" json:"organization"`

	ProjectID    *string `avro:"project_id" json:"project_id"`
	ProjectName  *string `avro:"project_name" json:"project_name"`
	Outcome      string  `avro:"outcome" json:"outcome"`
	ErrorCode    *string `avro:"error_code" json:"error_code"`
	ErrorMessage *string `avro:"error_message" json:"error_message"`

	ActorType             *string `avro:"actor_type" json:"actor_type"`
	ActorID               *string `avro:"actor_id" json:"actor_id"`
	ActorEmail            *string `avro:"actor_email" json:"actor_email"`
	ActorUserID           *string `avro:"actor_user_id" json:"actor_user_id"`
	ActorServiceAccountID *string `avro:"actor_service_account_id" json:"actor_service_account_id"`
	ActorAPIKeyID         *string `avro:"actor_api_key_id" json:"actor_api_key_id"`
	ActorAPIKeyType       *string `avro:"actor_api_key_type" json:"actor_api_key_type"`

	SourceIP         *string  `avro:"source_ip" json:"source_ip"`
	SourceCountry    *string  `avro:"source_country" json:"source_country"`
	SourceRegion     *string  `avro:"source_region" json:"source_region"`
	SourceRegionCode *string  `avro:"source_region_code" json:"source_region_code"`
	SourceCity       *string  `avro:"source_city" json:"source_city"`
	SourceASN        *int64   `avro:"source_asn" json:"source_asn"`
	SourceLatitude   *float64 `avro:"source_latitude" json:"source_latitude"`
	SourceLongitude  *float64 `avro:"source_longitude" json:"source_longitude"`
	UserAgent        *string  `avro:"user_agent" json:"user_agent"`
	JA3              *string  `avro:"ja3" json:"ja3"`
	JA4              *string  `avro:"ja4" json:"ja4"`

	TargetType    *string `avro:"target_type" json:"target_type"`
	TargetID      *string `avro:"target_id" json:"target_id"`
	TargetName    *string `avro:"target_name" json:"target_name"`
	TargetEmail   *string `avro:"target_email" json:"target_email"`
	PrincipalID   *string `avro:"principal_id" json:"principal_id"`
	PrincipalType *string `avro:"principal_type" json:"principal_type"`
	Role          *string `avro:"role" json:"role"`
	ResourceID    *string `avro:"resource_id" json:"resource_id"`
	ResourceType  *string `avro:"resource_type" json:"resource_type"`

	Scopes             []string `avro:"scopes" json:"scopes"`
	Permissions        []string `avro:"permissions" json:"permissions"`
	PermissionsAdded   []string `avro:"permissions_added" json:"permissions_added"`
	PermissionsRemoved []string `avro:"permissions_removed" json:"permissions_removed"`
	AllowedIPs         []string `avro:"allowed_ips" json:"allowed_ips"`
	ChangedFields      []string `avro:"changed_fields" json:"changed_fields"`

	Details  *string `avro:"details" json:"details"`
	RawEvent string  `avro:"raw_event" json:"raw_event"`
}
