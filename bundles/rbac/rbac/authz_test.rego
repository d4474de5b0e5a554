package rbac.authz_test

import data.rbac.authz

request(user, method, path) := {
	"attributes": {"request": {"http": {"method": method, "headers": {"x-user": user}}}},
	"parsed_path": path,
}

role(user, method, path) := result.headers["x-role"] if {
	result := authz.allow with input as request(user, method, path)
}

test_allowed[note] if {
	some note, case in {
		"an agent reads a ticket": ["ines", "GET", ["tickets", "7"], "agent"],
		"an agent answers it": ["ines", "POST", ["tickets", "7", "answers"], "agent"],
		"a lead reads the reports": ["jo", "GET", ["reports"], "lead"],
	}
	role(case[0], case[1], case[2]) == case[3]
}

test_denied[note] if {
	some note, case in {
		"an agent reads no reports": ["ines", "GET", ["reports"]],
		"nobody deletes": ["jo", "DELETE", ["tickets", "7"]],
		"a stranger": ["mallory", "GET", ["tickets"]],
		"part of a segment is none": ["ines", "GET", ["ticketsystem"]],
	}
	result := authz.allow with input as request(case[0], case[1], case[2])
	result == {"allowed": false}
}

test_new_people_need_no_new_rule if {
	role("kim", "GET", ["tickets"]) == "agent" with data.rbac.people as {"kim": ["agent"]}
}

test_without_data_nothing_is_allowed if {
	result := authz.allow with input as request("ines", "GET", ["tickets"]) with data.rbac.people as {}
	result == {"allowed": false}
}
