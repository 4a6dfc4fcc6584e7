/* The key-state table. See keystate.h. */
#include "keystate.h"

#include <stddef.h>
#include <string.h>

#include "err.h"
#include "fault.h"

/* The footnotes of the guide's table, by what AWS answers today. */
enum verdict { OK, DIS, DEL, NODEL, IMP, UNAV, CREA, UPD, EXT, HSM };

static const struct {
	enum fault fault;
	const char *text; /* behind the ARN */
} answers[] = {
	[DIS] = {FAULT_DISABLED, "is disabled."},
	[DEL] = {FAULT_INVALID_STATE, "is pending deletion."},
	[NODEL] = {FAULT_INVALID_STATE, "is not pending deletion."},
	[IMP] = {FAULT_INVALID_STATE, "is pending import."},
	[UNAV] = {FAULT_INVALID_STATE, "is unavailable."},
	[CREA] = {FAULT_INVALID_STATE, "is creating."},
	[UPD] = {FAULT_INVALID_STATE, "is updating."},
	/* Only keys of these origins can be in the states where these two stand. */
	[EXT] = {FAULT_UNSUPPORTED_OPERATION,
		 "origin is EXTERNAL which is not valid for this operation."},
	[HSM] = {FAULT_UNSUPPORTED_OPERATION,
		 "origin is AWS_CLOUDHSM which is not valid for this operation."},
};

/* clang-format off */
static const unsigned char table[KEY_USE_COUNT][KEY_STATE_COUNT] = {
	/*                             Enabled Disabled Deletion Import Unavail Creating Updating */
	[KEY_USE_ANY] =               {OK,     OK,      OK,      OK,    OK,     OK,      OK},
	[KEY_USE_CRYPTO] =            {OK,     DIS,     DEL,     IMP,   UNAV,   CREA,    OK},
	[KEY_USE_CREATE_GRANT] =      {OK,     DIS,     DEL,     IMP,   OK,     CREA,    OK},
	[KEY_USE_CREATE_ALIAS] =      {OK,     OK,      DEL,     OK,    OK,     OK,      OK},
	[KEY_USE_UPDATE_ALIAS] =      {OK,     OK,      DEL,     OK,    OK,     OK,      OK},
	[KEY_USE_ENABLE] =            {OK,     OK,      DEL,     IMP,   OK,     CREA,    UPD},
	[KEY_USE_SCHEDULE_DELETION] = {OK,     OK,      DEL,     OK,    OK,     OK,      UPD},
	[KEY_USE_CANCEL_DELETION] =   {NODEL,  NODEL,   OK,      NODEL, NODEL,  NODEL,   NODEL},
	[KEY_USE_DESCRIBE_WRITE] =    {OK,     OK,      DEL,     OK,    OK,     OK,      OK},
	[KEY_USE_ROTATION] =          {OK,     DIS,     DEL,     EXT,   HSM,    CREA,    OK},
	[KEY_USE_ROTATION_STATUS] =   {OK,     OK,      OK,      EXT,   HSM,    OK,      OK},
};
/* clang-format on */

static const char *const names[KEY_STATE_COUNT] = {
	"Enabled",     "Disabled", "PendingDeletion", "PendingImport",
	"Unavailable", "Creating", "Updating",
};

const char *keystate_name(enum key_state state)
{
	return names[state];
}

enum key_state keystate_from_name(const char *name)
{
	size_t i = 0;

	while (i < KEY_STATE_COUNT && strcmp(name, names[i]) != 0)
		i++;
	return (enum key_state)i;
}

int keystate_check(enum key_use use, enum key_state state, const char *arn, struct err *err)
{
	unsigned verdict = table[use][state];

	if (verdict == OK)
		return 0;
	return fault_set(err, answers[verdict].fault, "%s %s", arn, answers[verdict].text);
}
