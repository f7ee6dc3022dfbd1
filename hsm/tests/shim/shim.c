/* A PKCS#11 module that passes everything on to another one, and misbehaves as a file tells it.
 *
 * SIGWARD_SHIM_MODULE   the real module
 * SIGWARD_SHIM_CONTROL  a file with words, read at every call:
 *   hang      C_Sign does not return until the word is gone
 *   locked    C_GetTokenInfo says that the user PIN is locked
 *   low       C_GetTokenInfo says that few tries are left
 *   no-eddsa  C_GetMechanismList and C_SignInit know no CKM_EDDSA
 *   lost      every call with a session answers CKR_SESSION_HANDLE_INVALID until C_Finalize and C_Initialize
 *   away      there is no token in any slot
 *   logout    C_SignInit answers CKR_USER_NOT_LOGGED_IN, once
 *   full      C_GenerateKeyPair and C_CreateObject answer CKR_DEVICE_MEMORY
 *   vanish    C_FindObjects finds nothing
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ck_rv;
typedef unsigned long ck_ulong;
typedef ck_rv (*ck_fn)();

struct function_list {
  unsigned char version[2];
  ck_fn fn[68];
};

enum { /* places in CK_FUNCTION_LIST, PKCS#11 v2.40 */
  INITIALIZE = 0, FINALIZE = 1, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, GET_MECHANISM_LIST = 7, GET_SESSION_INFO = 15,
  LOGIN = 18, CREATE_OBJECT = 20, FIND_OBJECTS_INIT = 26, FIND_OBJECTS = 27, SIGN_INIT = 42, SIGN = 43, GENERATE_KEY_PAIR = 59
};

#define CKR_OK 0x000
#define CKR_DEVICE_MEMORY 0x031
#define CKR_MECHANISM_INVALID 0x070
#define CKR_SESSION_HANDLE_INVALID 0x0B3
#define CKR_TOKEN_NOT_PRESENT 0x0E0
#define CKR_USER_NOT_LOGGED_IN 0x101
#define CKM_EDDSA 0x1057
#define CKF_USER_PIN_COUNT_LOW 0x00010000
#define CKF_USER_PIN_LOCKED 0x00040000
#define TOKEN_FLAGS 96 /* offset of CK_TOKEN_INFO.flags: label 32, manufacturer 32, model 16, serial 16 */

static struct function_list real, ours;
static int lost, logged_out;

static int told(const char *word) {
  char text[256] = " ", padded[64];
  const char *path = getenv("SIGWARD_SHIM_CONTROL");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return 0;
  size_t n = fread(text + 1, 1, sizeof text - 3, file);
  fclose(file);
  for (size_t i = 1; i <= n; i++)
    if (text[i] == '\n') text[i] = ' ';
  text[n + 1] = ' ';
  text[n + 2] = 0;
  snprintf(padded, sizeof padded, " %s ", word);
  return strstr(text, padded) != NULL;
}

static int session_gone(void) {
  if (told("lost")) lost = 1;
  return lost;
}

static ck_rv initialize(void *args) {
  lost = told("lost");
  return real.fn[INITIALIZE](args);
}

static ck_rv get_slot_list(unsigned char present, ck_ulong *list, ck_ulong *count) {
  if (told("away")) {
    *count = 0;
    return CKR_OK;
  }
  return real.fn[GET_SLOT_LIST](present, list, count);
}

static ck_rv get_token_info(ck_ulong slot, unsigned char *info) {
  if (told("away")) return CKR_TOKEN_NOT_PRESENT;
  ck_rv rv = real.fn[GET_TOKEN_INFO](slot, info);
  ck_ulong flags;
  memcpy(&flags, info + TOKEN_FLAGS, sizeof flags);
  if (told("locked")) flags |= CKF_USER_PIN_LOCKED;
  if (told("low")) flags |= CKF_USER_PIN_COUNT_LOW;
  memcpy(info + TOKEN_FLAGS, &flags, sizeof flags);
  return rv;
}

static ck_rv get_mechanism_list(ck_ulong slot, ck_ulong *list, ck_ulong *count) {
  ck_rv rv = real.fn[GET_MECHANISM_LIST](slot, list, count);
  if (rv == CKR_OK && list && told("no-eddsa"))
    for (ck_ulong i = 0; i < *count; i++)
      if (list[i] == CKM_EDDSA) list[i] = list[--*count];
  return rv;
}

static ck_rv get_session_info(ck_ulong session, void *info) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  return real.fn[GET_SESSION_INFO](session, info);
}

static ck_rv login(ck_ulong session, ck_ulong user, void *pin, ck_ulong length) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  return real.fn[LOGIN](session, user, pin, length);
}

static ck_rv create_object(ck_ulong session, void *template, ck_ulong count, ck_ulong *object) {
  if (told("full")) return CKR_DEVICE_MEMORY;
  return real.fn[CREATE_OBJECT](session, template, count, object);
}

static ck_rv generate_key_pair(ck_ulong session, void *mechanism, void *public, ck_ulong public_count, void *private,
                               ck_ulong private_count, ck_ulong *public_key, ck_ulong *private_key) {
  if (told("full")) return CKR_DEVICE_MEMORY;
  return real.fn[GENERATE_KEY_PAIR](session, mechanism, public, public_count, private, private_count, public_key, private_key);
}

static ck_rv find_objects_init(ck_ulong session, void *template, ck_ulong count) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  return real.fn[FIND_OBJECTS_INIT](session, template, count);
}

static ck_rv find_objects(ck_ulong session, ck_ulong *objects, ck_ulong most, ck_ulong *count) {
  ck_rv rv = real.fn[FIND_OBJECTS](session, objects, most, count);
  if (told("vanish")) *count = 0;
  return rv;
}

static ck_rv sign_init(ck_ulong session, ck_ulong *mechanism, ck_ulong key) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  int was = logged_out;
  logged_out = told("logout");
  if (logged_out && !was) return CKR_USER_NOT_LOGGED_IN;
  if (*mechanism == CKM_EDDSA && told("no-eddsa")) return CKR_MECHANISM_INVALID;
  return real.fn[SIGN_INIT](session, mechanism, key);
}

static ck_rv sign(ck_ulong session, void *data, ck_ulong length, void *signature, ck_ulong *signature_length) {
  while (told("hang")) usleep(20000);
  return real.fn[SIGN](session, data, length, signature, signature_length);
}

ck_rv C_GetFunctionList(struct function_list **list) {
  if (!real.fn[INITIALIZE]) {
    struct function_list *theirs;
    const char *path = getenv("SIGWARD_SHIM_MODULE");
    void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    ck_fn get = module ? (ck_fn)dlsym(module, "C_GetFunctionList") : NULL;
    if (!get || get(&theirs) != CKR_OK) return 0x005; /* CKR_GENERAL_ERROR */
    real = *theirs;
    ours = real;
    ours.fn[INITIALIZE] = initialize;
    ours.fn[GET_SLOT_LIST] = (ck_fn)get_slot_list;
    ours.fn[GET_TOKEN_INFO] = get_token_info;
    ours.fn[GET_MECHANISM_LIST] = get_mechanism_list;
    ours.fn[GET_SESSION_INFO] = get_session_info;
    ours.fn[LOGIN] = login;
    ours.fn[CREATE_OBJECT] = create_object;
    ours.fn[FIND_OBJECTS_INIT] = find_objects_init;
    ours.fn[FIND_OBJECTS] = find_objects;
    ours.fn[SIGN_INIT] = sign_init;
    ours.fn[SIGN] = sign;
    ours.fn[GENERATE_KEY_PAIR] = generate_key_pair;
  }
  *list = &ours;
  return CKR_OK;
}
