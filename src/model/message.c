/* SPDX-License-Identifier: Apache-2.0 */
#include "model/message.h"

#include "base/assert.h"

const char *message_type_name(enum message_type type)
{
    static const char *const names[MESSAGE_TYPE_COUNT] = {
#define MESSAGE_NAME(NAME, name) [MESSAGE_##NAME] = #name,
        MESSAGE_LIST(MESSAGE_NAME)
#undef MESSAGE_NAME
    };

    PRE((unsigned)type < MESSAGE_TYPE_COUNT);
    return names[type];
}
