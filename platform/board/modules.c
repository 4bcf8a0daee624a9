/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/modules.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/board/board.h"
#include "platform/board/cpio.h"

#define MAX_MODULES 64

static struct module modules[MAX_MODULES];
static unsigned count;

static int add(void *arg, const char *name, const void *data, size_t size)
{
	struct module *m = &modules[count];

	(void)arg;
	if (count == MAX_MODULES)
		return hc_error(-E2BIG, "module %.63s is one too many, at most %d are possible",
		                name, MAX_MODULES);
	if (strlen(name) >= sizeof(m->name))
		return hc_error(-E2BIG, "module %.63s...: the name is longer than %zu bytes", name,
		                sizeof(m->name) - 1);
	if (modules_find(name))
		return hc_error(-EEXIST, "there are two modules of the name %s", name);
	memcpy(m->name, name, strlen(name) + 1);
	m->data = data;
	m->size = size;
	count++;
	return 0;
}

int modules_init(const struct board_boot_info *info)
{
	int first = 0;

	for (uint32_t i = 0; i < info->module_count; i++) {
		const struct board_module *m = &info->modules[i];
		const void *data = board_reach(m->base, m->size);
		int err;

		if (!data)
			err = hc_error(-ENOMEM, "module %u at 0x%llx cannot be mapped", i,
			               (unsigned long long)m->base);
		else if (m->name[0])
			err = add(NULL, m->name, data, m->size);
		else
			err = cpio_each(data, m->size, add, NULL);
		if (!first)
			first = err;
	}
	return first;
}

unsigned modules_count(void)
{
	return count;
}

const struct module *modules_find(const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(modules[i].name, name) == 0)
			return &modules[i];
	return NULL;
}
