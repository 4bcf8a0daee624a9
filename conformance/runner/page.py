# SPDX-License-Identifier: BSD-2-Clause
"""report.html: the matrix of cases and targets, with filters and each case's log; one file."""
import html
import json

STYLE = """
:root { --ok:#2b7a3f; --skip:#9a7b1c; --error:#8a3f9c; --failure:#b3261e; --line:#d8dadd; --text:#1d2126; --back:#fff }
@media (prefers-color-scheme: dark) { :root { --ok:#6fcf8a; --skip:#e0c060; --error:#d79be6; --failure:#ff8a80;
  --line:#3a3f45; --text:#e3e6ea; --back:#16191c } }
body { font:14px/1.4 system-ui,sans-serif; margin:1.5em; color:var(--text); background:var(--back) }
h1 { font-size:1.3em; margin:0 0 .3em } h2 { font-size:1.1em; margin:1.2em 0 .4em }
table { border-collapse:collapse } th,td { border:1px solid var(--line); padding:2px 8px; text-align:left }
thead th { position:sticky; top:0; background:var(--back) } td.c { text-align:center; cursor:pointer }
.success { color:var(--ok) } .skip { color:var(--skip) } .error { color:var(--error); font-weight:bold }
.failure { color:var(--failure); font-weight:bold } .known { text-decoration:underline dotted }
input,select { font:inherit; margin-right:.8em } #filters { margin:.8em 0 }
pre { white-space:pre-wrap; border:1px solid var(--line); padding:.6em; margin:0; font-size:12px }
"""

SCRIPT = """
const report = JSON.parse(document.getElementById('data').textContent);
const signs = { success: 'ok', skip: 'skip', error: 'ERROR', failure: 'FAIL' };
const arches = [...new Set(report.targets.filter(t => t.ran).map(t => t.arch))];
const byId = id => document.getElementById(id);
for (const arch of arches) byId('arch').append(new Option(arch, arch));
function element(kind, text, name) {
  const e = document.createElement(kind); e.textContent = text ?? ''; if (name) e.className = name; return e;
}
function matrix(arch) {
  const targets = report.targets.filter(t => t.arch === arch && t.ran), rows = new Map();
  for (const [i, t] of targets.entries())
    for (const c of t.cases) {
      if (!rows.has(c.name)) rows.set(c.name, Array(targets.length).fill(null));
      rows.get(c.name)[i] = c;
    }
  return [targets, rows];
}
function shown(name, cells) {
  const what = byId('what').value, text = byId('text').value.toLowerCase();
  const ends = new Set(cells.filter(c => c).map(c => c.outcome));
  const wanted = { all: () => true, differ: () => ends.size > 1,
    bad: () => ends.has('failure') || ends.has('error'),
    unexplained: () => cells.some(c => c && (c.outcome === 'failure' || c.outcome === 'error') && !c.known),
    skip: () => ends.has('skip') }[what]();
  return wanted && (!text || name.includes(text) ||
    cells.some(c => c && (c.reason + c.text.join(' ')).toLowerCase().includes(text)));
}
function log(target, c) {
  const lines = [`${target.arch}/${target.name}: ${c.name}: ${c.outcome}, ${c.seconds} s`];
  if (c.reason) lines.push(c.reason);
  if (c.known) lines.push('known: ' + c.known);
  return lines.concat(c.text).join('\\n');
}
function draw() {
  const place = byId('matrix'); place.replaceChildren();
  for (const arch of arches) {
    if (byId('arch').value && byId('arch').value !== arch) continue;
    const [targets, rows] = matrix(arch), table = element('table'), head = element('tr');
    head.append(element('th', arch));
    for (const t of targets) head.append(element('th', t.name));
    const top = element('thead'); top.append(head); table.append(top);
    let count = 0;
    for (const name of [...rows.keys()].sort()) {
      const cells = rows.get(name);
      if (!shown(name, cells)) continue;
      count++;
      const row = element('tr'); row.append(element('td', name));
      cells.forEach((c, i) => {
        const cell = element('td', c ? signs[c.outcome] : '', 'c ' + (c ? c.outcome : '') + (c && c.known ? ' known' : ''));
        if (c) { cell.title = c.known || c.reason || ''; cell.onclick = () => toggle(row, log(targets[i], c), targets.length + 1); }
        row.append(cell);
      });
      table.append(row);
    }
    place.append(element('h2', `${arch}: ${count} of ${rows.size} cases`), table);
  }
}
function toggle(row, text, span) {
  const next = row.nextSibling;
  if (next && next.className === 'log') { const same = next.textContent === text; next.remove(); if (same) return; }
  const line = element('tr', '', 'log'), cell = element('td'); cell.colSpan = span;
  cell.append(element('pre', text)); line.append(cell); row.after(line);
}
for (const id of ['arch', 'what', 'text']) byId(id).oninput = draw;
draw();
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Conformance: {verdict}</title>
<meta name="viewport" content="width=device-width"><style>{style}</style></head><body>
<h1>Conformance: {verdict}</h1>
{targets}
<div id="filters"><select id="arch"><option value="">all architectures</option></select>
<select id="what"><option value="all">all cases</option><option value="differ">targets differ</option>
<option value="bad">failures and errors</option><option value="unexplained">unexplained</option>
<option value="skip">skipped somewhere</option></select>
<input id="text" placeholder="name or log contains"></div>
<div id="matrix"></div>
<script id="data" type="application/json">{data}</script>
<script>{script}</script></body></html>
"""


def _target_rows(report):
    for target in report["targets"]:
        name = html.escape(f"{target['arch']}/{target['name']}")
        if not target["ran"]:
            yield f"<tr><td>{name}<td colspan=6 class=skip>{html.escape(target['unavailable'])}"
            continue
        cells = "".join(f"<td class={kind}>{target['counts'][kind]}"
                        for kind in ("success", "skip", "error", "failure"))
        error = html.escape(target["error"] or target["about"])
        yield f"<tr><td>{name}{cells}<td>{target['seconds']:.1f} s<td>{error}"


def write(path, report):
    """The page of what reports.as_json() made."""
    head = "<tr><th>target<th>success<th>skip<th>error<th>failure<th>time<th>"
    count = len(report["unexplained"])
    verdict = "as it should be" if report["ok"] else f"{count} unexplained" if count else "targets broke off"
    data = json.dumps(report).replace("<", "\\u003c")  # nothing in it looks like markup
    path.write_text(PAGE.format(verdict=verdict, style=STYLE, script=SCRIPT, data=data,
                                targets=f"<table>{head}{''.join(_target_rows(report))}</table>"),
                    encoding="utf-8")
