# Who may do what, by what Doorward has verified and puts into `input.doorward`: the caller's certificate,
# the token that a RequestAuthentication let pass, and the workload that is called.
package orders.authz

default allow := false

# Services of the workload's own namespace read.
allow if {
	input.attributes.request.http.method == "GET"
	input.doorward.peer.namespace == input.doorward.workload.namespace
}

# Admins do the rest, from wherever they come.
allow if {
	input.attributes.request.http.method != "GET"
	"admins" in input.doorward.request.claims.groups
}
