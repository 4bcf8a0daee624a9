/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/module.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above */
#include "core/log.h"
#include "platform/linux/program.h"

struct search {
	const char *file, *symbol;
	void *found;
	char *why;
	size_t size;
};

static void load(struct search *s, const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		hc_snprintf(s->why, s->size, "%s", dlerror());
		return;
	}
	s->found = dlsym(handle, s->symbol);
	if (s->found)
		return;
	hc_snprintf(s->why, s->size, "not of this build: %s", path);
	dlclose(handle);
}

/* True: there is a file, so that the search is over. */
static bool try_folder(struct search *s, const char *folder, const char *below)
{
	char path[512];

	if (hc_snprintf(path, sizeof(path), "%s%s/%s", folder, below, s->file) >=
	            (int)sizeof(path) ||
	    access(path, F_OK))
		return false;
	load(s, path);
	return true;
}

void *linux_module_find(const char *file, const char *symbol, char *why, size_t size)
{
	struct search s = { file, symbol, NULL, why, size };
	const char *folder = getenv("HYPERCORE_MODULES");
	char program[256];

	linux_program_folder(program, sizeof(program));
	hc_snprintf(why, size, "not there: module %s not found (it needs the package libunicorn2)",
	            file);
	if (folder && *folder)
		(void)try_folder(&s, folder, "");
	else
		(void)(try_folder(&s, program, "") ||
		       try_folder(&s, program, HC_MODULES_FROM_PROGRAM) ||
		       try_folder(&s, HC_MODULES, ""));
	return s.found;
}
