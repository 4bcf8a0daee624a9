/* SPDX-License-Identifier: BSD-2-Clause */
/* Asked by LeakSanitizer: what a crash leaves behind, and uc_close() too, is not ours. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libunicorn";
}
