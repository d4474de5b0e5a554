# Roles by the caller's service account, five with twenty permissions each. The last one permits.
package envoy.authz

import input.attributes.request.http as http_request

default allow := false

allow if {
	some role in roles
	some permission in data.permissions[role]
	permission.method == http_request.method
	permission.path == input.parsed_path[0]
}

roles contains role if some role in data.roles[account]

account := split(input.attributes.source.principal, "/sa/")[1]
