"""The numbers as a table for people."""

from common import CONNECTIONS, LIMIT, YARDSTICK, plural, table

HEADING = ("server", "streams", "checks/s", f"to {YARDSTICK}", f"to {LIMIT}", "p50 µs", "p99 µs", "CPU µs/check",
           "log's µs/check", "records/s", "to log off", "dropped")


def report(numbers):
    machine = numbers["machine"]
    lines = [f"\n{machine['cpu']}, Linux {machine['kernel']}, {machine['h2load']}; {CONNECTIONS} connections, "
             f"{plural(numbers['rounds'])} of {numbers['seconds']:g} s, request of {numbers['request_bytes']:,} "
             "bytes\n"]
    lines.append(table(HEADING, [table_cells(result) for result in numbers["results"]]) + "\n")
    lines += [f"{result['server']}, {plural(result['streams'], 'stream')}: records were dropped, so it does not count"
              for result in numbers["results"] if result["log_dropped"]]
    lines += opa_lines(numbers["results"])
    lines += [f"{result['server']}, {plural(result['streams'], 'stream')}: {result['to_unshadowed']:.2f} of it without"
              for result in numbers["results"] if result["to_unshadowed"]]
    lines += [decision_line(name, summary) for name, summary in numbers["decisions"].items()]
    push = numbers["push"]
    if push:
        lines.append(f"push to effect ({push['server']}, {push['count']} bundles): p50 {push['p50_ms']:.2f} ms, "
                     f"p99 {push['p99_ms']:.2f} ms")
    lines += [f"binary {name}: {size / 1e6:.1f} MB" for name, size in numbers["binary_bytes"].items()]
    return "\n".join(lines)


def table_cells(result):
    def cell(name, form):
        return "" if result[name] is None else format(result[name], form)

    return [
        result["server"],
        cell("streams", "d"),
        cell("checks_per_second", ",.0f"),
        cell("to_noop", ".2f"),
        cell("to_raw", ".2f"),
        cell("p50_us", ",.0f"),
        cell("p99_us", ",.0f"),
        cell("cpu_us_per_check", ".1f"),
        cell("log_cpu_us_per_check", ".1f"),
        cell("records_per_second", ",.0f"),
        cell("to_log_off", ".2f"),
        cell("log_dropped", ",d"),
    ]


def decision_line(name, summary):
    line = f"{name}: {summary['allow']:,} allow, {summary['deny']:,} deny, {summary['cache_hits']:,} cache hits"
    if summary["shadowed"] or summary["shadow_skipped"]:
        line += f"; shadow: {summary['shadowed']:,} decided, {summary['shadow_skipped']:,} passed over"
    if not summary["log_written"] and not summary["log_dropped"]:
        return f"{line}; decision log off"
    line += f"; decision log: {summary['log_written']:,} written, {summary['log_dropped']:,} dropped"
    lost = summary["allow"] + summary["deny"] - summary["log_written"] - summary["log_dropped"]
    return f"{line}, {lost:,} unaccounted for" if lost else line


def opa_lines(results):
    """How much faster Doorward answers by the same Rego, where OPA's plugin was asked too."""
    rates = {(result["server"], result["streams"]): result["checks_per_second"] for result in results}
    for (server, streams), rate in rates.items():
        other = rates.get((server.replace("doorward", "opa-envoy"), streams))
        if server.startswith("doorward rego") and other:
            yield f"{server}, {plural(streams, 'stream')}: {rate / other:.1f} times opa-envoy"
