# Who may do what, told by data: this file stays as it is when roles and people change. The data is
# beside it, in data.json, and is part of the same bundle.
package rbac.authz

default allow := {"allowed": false}

# Tells the service behind which of the roles it was.
allow := {
	"allowed": true,
	"headers": {"x-role": role},
} if {
	# Of several roles that would do, always the same.
	role := min(granting)
}

user := input.attributes.request.http.headers["x-user"]

granting contains role if {
	some role in data.rbac.people[user]
	some grant in data.rbac.roles[role]
	input.attributes.request.http.method in grant.methods
	under(input.parsed_path, grant.path)
}

# Whether a path begins with the segments of another.
under(path, beginning) if array.slice(path, 0, count(beginning)) == beginning
