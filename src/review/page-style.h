/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The style sheet of the page. */
#pragma once

#define PAGE_STYLE                                                                                 \
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1a1d21;--faint:#57606a;--line:#d0d7de;"         \
    "--box:#f6f8fa;--add:#dafbe1;--addfg:#0a4a1f;--del:#ffebe9;--delfg:#82071e;"                   \
    "--high:#b00020;--medium:#8a4600;--low:#57606a}"                                               \
    "@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--faint:#9aa4af;"           \
    "--line:#3d444d;--box:#161b22;--add:#12361f;--addfg:#c3f5d0;--del:#4b1216;--delfg:#ffd7d5;"    \
    "--high:#ff8a80;--medium:#f0b060;--low:#9aa4af}}"                                              \
    "*{box-sizing:border-box}"                                                                     \
    "body{margin:0 auto;max-width:100rem;padding:1rem;background:var(--bg);color:var(--fg);"       \
    "font:1rem/1.5 system-ui,sans-serif}"                                                          \
    "h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}"                  \
    "h3{font-size:1rem;margin:0;display:inline;overflow-wrap:anywhere}"                            \
    "pre,code,table.diff{font-family:ui-monospace,monospace;font-size:.85rem}"                     \
    "pre{margin:0;padding:.75rem;background:var(--box);border:1px solid var(--line);"              \
    "border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere}"                               \
    "ul.findings{list-style:none;margin:0;padding:0}"                                              \
    "ul.findings li{border-left:.3rem solid var(--low);padding:.25rem .75rem;margin:.5rem 0;"      \
    "background:var(--box);overflow-wrap:anywhere}"                                                \
    "ul.findings li.high{border-color:var(--high)}ul.findings li.medium{border-color:"             \
    "var(--medium)}.sev{font-weight:700}.high .sev{color:var(--high)}.medium .sev{color:"          \
    "var(--medium)}.low .sev{color:var(--low)}"                                                    \
    "details{border:1px solid var(--line);border-radius:6px;margin:.75rem 0}"                      \
    "summary{cursor:pointer;padding:.5rem .75rem;background:var(--box);border-radius:6px;"         \
    "overflow-wrap:anywhere}summary:focus-visible,a:focus-visible{outline:3px solid "              \
    "currentColor;outline-offset:2px}"                                                             \
    ".faint{color:var(--faint)}"                                                                   \
    "table.diff{width:100%;border-collapse:collapse;table-layout:fixed}"                           \
    "table.diff td,table.diff th{vertical-align:top;padding:0 .4rem;white-space:pre-wrap;"         \
    "overflow-wrap:anywhere;text-align:left;font-weight:400}"                                      \
    "table.diff .n{width:4.5em;text-align:right;color:var(--faint);user-select:none}"              \
    "table.diff .hunk{background:var(--box);color:var(--faint)}"                                   \
    "td.add{background:var(--add);color:var(--addfg)}td.del{background:var(--del);"                \
    "color:var(--delfg)}"                                                                          \
    "@media(max-width:50rem){table.diff,table.diff tbody,table.diff tr,table.diff td,"             \
    "table.diff th{display:block;width:auto}table.diff thead{display:none}"                        \
    "table.diff .n{display:none}table.diff td.none,table.diff td.twin{display:none}"               \
    "td.del::before{content:\"- \"}td.add::before{content:\"+ \"}"                                 \
    "td.same::before{content:\"  \"}}"
