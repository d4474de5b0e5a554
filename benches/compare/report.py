"""The numbers as a table for people."""

from common import CONNECTIONS, YARDSTICK, plural, table

HEADING = ("server", "streams", "checks/s", f"ratio to {YARDSTICK}", "p50 µs", "p99 µs", "CPU µs/check",
           "RSS start MiB", "RSS after MiB", "log dropped")


def report(numbers):
    machine = numbers["machine"]
    lines = [f"\n{machine['cpu']}, Linux {machine['kernel']}, {machine['h2load']}; {CONNECTIONS} connections, "
             f"{plural(numbers['rounds'])}, request of {numbers['request_bytes']:,} bytes\n"]
    lines.append(table(HEADING, [table_cells(result) for result in numbers["results"]]) + "\n")
    lines += opa_lines(numbers["results"])
    lines += [decision_line(name, summary) for name, summary in numbers["decisions"].items()]
    push = numbers["push"]
    lines.append(f"push to effect ({push['server']}, {push['count']} bundles): p50 {push['p50_ms']:.2f} ms, "
                 f"p99 {push['p99_ms']:.2f} ms")
    lines += [f"binary {name}: {size / 1e6:.1f} MB" for name, size in numbers["binary_bytes"].items()]
    return "\n".join(lines)


def table_cells(result):
    ratio, dropped = result["ratio"], result["log_dropped"]
    return [
        result["server"],
        str(result["streams"]),
        f"{result['checks_per_second']:,.0f}",
        "-" if ratio is None else f"{ratio:.2f}",
        *(f"{result[name]:,.0f}" for name in ("p50_us", "p99_us")),
        f"{result['cpu_us_per_check']:.1f}",
        *(f"{result[name] / 2**20:.1f}" for name in ("rss_start_bytes", "rss_after_bytes")),
        "-" if dropped is None else f"{dropped:,}",
    ]


def decision_line(name, summary):
    line = f"{name}: {summary['allow']:,} allow, {summary['deny']:,} deny, {summary['cache_hits']:,} cache hits"
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
