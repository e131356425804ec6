"""The dashboard: pages over the same rules that the HTTP interface uses. Server-rendered; every page is
complete without JavaScript, which only adds live logs, fresh numbers and copy buttons."""
