/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/unicorn_load.h"

#include <hypercore/errno.h>
#include <string.h>
/* after the above */
#include "platform/linux/module.h"

/* Others may be reading name, isa and probe meanwhile. The rest is used only where probe() found
 * the module. */
static void fill(struct hc_backend_ops *ops, const struct hc_backend_ops *module)
{
	struct hc_backend_ops filled = *module;

	filled.name = ops->name;
	filled.isa = ops->isa;
	filled.probe = ops->probe;
	*ops = filled;
}

static void load(struct unicorn_loader *l)
{
	unicorn_entry entry = NULL;
	void *symbol = linux_module_find(l->file, UNICORN_ENTRY, l->why_not, sizeof(l->why_not));

	memcpy(&entry, &symbol, sizeof(entry));
	if (!entry)
		return;
	const struct hc_backend_ops *module = entry(l->host);

	if (!module) {
		hc_snprintf(l->why_not, sizeof(l->why_not), "not of this build: %s", l->file);
		return;
	}
	fill(l->ops, module);
	l->probe = module->probe;
}

int unicorn_loader_probe(struct unicorn_loader *l, struct hc_backend_info *info)
{
	pthread_mutex_lock(&l->lock);
	if (!l->is_done)
		load(l);
	l->is_done = true;
	pthread_mutex_unlock(&l->lock);
	if (l->probe)
		return l->probe(info);
	hc_snprintf(info->reason, sizeof(info->reason), "%s", l->why_not);
	return -ENODEV;
}
