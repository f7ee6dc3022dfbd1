/* A PKCS#11 module that passes everything on to another one, and misbehaves as a file tells it.
 *
 * SIGWARD_SHIM_MODULE   the real module
 * SIGWARD_SHIM_CONTROL  a file with words, read at every call:
 *   hang      C_Sign does not return until the word is gone
 *   hang-short, refuse-short  C_Sign of less than 64 bytes (an extension, not a vote) hangs, or answers CKR_FUNCTION_FAILED
 *   locked    C_GetTokenInfo says that the user PIN is locked
 *   low       C_GetTokenInfo says that few tries are left
 *   no-eddsa  C_GetMechanismList and C_SignInit know no CKM_EDDSA
 *   lost      every call with a session answers CKR_SESSION_HANDLE_INVALID until C_Finalize and C_Initialize
 *   away      there is no token in any slot
 *   unclear   C_Login answers CKR_GENERAL_ERROR, whatever the PIN
 *   logout    C_SignInit logs out and answers CKR_USER_NOT_LOGGED_IN, once
 *   full      C_GenerateKeyPair and C_CreateObject answer CKR_DEVICE_MEMORY
 *   vanish    C_FindObjects finds nothing
 *   names     C_GenerateKeyPair takes curves by name alone (PrintableString), and no object identifiers
 *   hashes    there is no CKM_ECDSA, but CKM_ECDSA_SHA256
 *   kwp       there is CKM_AES_KEY_WRAP_KWP, and no CKM_AES_GCM and CKM_AES_KEY_WRAP_PAD
 *   hang=L    as hang, for the token with the label L alone
 *   away=L    C_GetTokenInfo and C_OpenSession answer CKR_TOKEN_NOT_PRESENT for the token with the label L
 *   stall=L   C_GetTokenInfo of the token with the label L does not return until the word is gone
 *   no-init   C_Initialize does not return until the word is gone
 *   no-end    C_Finalize does not return until the word is gone
 *   no-close  C_CloseSession does not return until the word is gone
 *   slow-key  C_GenerateKeyPair does not begin until the word is gone
 *   huge      C_Sign wants a buffer of ~0 bytes
 *   many      C_FindObjects says that it found 1000 objects, whatever it was asked for
 *   passing   C_GenerateKey makes a session object, whatever is asked for
 *   lies      C_GetAttributeValue says of every object that it is in the token
 *   resident  a template with CKA_TOKEN false is answered by CKR_ATTRIBUTE_VALUE_INVALID: there are no session objects
 *
 * C_GetTokenInfo says how many sessions are open, which SoftHSM2 does not.
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
  INITIALIZE = 0, FINALIZE = 1, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, GET_MECHANISM_LIST = 7, GET_MECHANISM_INFO = 8,
  OPEN_SESSION = 12, CLOSE_SESSION = 13, GET_SESSION_INFO = 15, LOGIN = 18, LOGOUT = 19, CREATE_OBJECT = 20, GET_ATTRIBUTE_VALUE = 24, FIND_OBJECTS_INIT = 26,
  FIND_OBJECTS = 27, DIGEST_INIT = 37, DIGEST = 38, SIGN_INIT = 42, SIGN = 43, GENERATE_KEY = 58, GENERATE_KEY_PAIR = 59, WRAP_KEY = 60, UNWRAP_KEY = 61
};

#define CKR_OK 0x000
#define CKR_GENERAL_ERROR 0x005
#define CKR_FUNCTION_FAILED 0x006
#define CKR_ATTRIBUTE_VALUE_INVALID 0x013
#define CKR_DEVICE_MEMORY 0x031
#define CKR_MECHANISM_INVALID 0x070
#define CKR_SESSION_HANDLE_INVALID 0x0B3
#define CKR_TOKEN_NOT_PRESENT 0x0E0
#define CKR_USER_NOT_LOGGED_IN 0x101
#define CKR_CURVE_NOT_SUPPORTED 0x140
#define CKA_TOKEN 0x001
#define CKA_EC_PARAMS 0x180
#define CKM_SHA256 0x250
#define CKM_ECDSA 0x1041
#define CKM_ECDSA_SHA256 0x1044
#define CKM_EDDSA 0x1057
#define CKM_AES_GCM 0x1087
#define CKM_AES_KEY_WRAP_PAD 0x210A
#define CKM_AES_KEY_WRAP_KWP 0x210B
#define CKF_USER_PIN_COUNT_LOW 0x00010000
#define CKF_USER_PIN_LOCKED 0x00040000
#define TOKEN_FLAGS 96 /* offset of CK_TOKEN_INFO.flags: label 32, manufacturer 32, model 16, serial 16 */

#define SESSION_COUNT 112 /* of ulSessionCount: flags 8, ulMaxSessionCount 8 */

struct attribute {
  ck_ulong type;
  void *value;
  ck_ulong length;
};

struct mechanism {
  ck_ulong type;
  void *parameter;
  ck_ulong length;
};

static struct function_list real, ours;
static int lost, logged_out;
static ck_ulong sessions;
/* The key of CKM_ECDSA_SHA256 under way; a session is used by one thread alone. */
static __thread ck_ulong hashing_key;

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

/* A line for each call, so that a test can count tries. */
static void count_login(void) {
  char name[512];
  const char *path = getenv("SIGWARD_SHIM_CONTROL");
  if (!path) return;
  snprintf(name, sizeof name, "%s.logins", path);
  FILE *file = fopen(name, "a");
  if (!file) return;
  fputs("C_Login\n", file);
  fclose(file);
}

#define LABEL 32
#define PLACES 4096
static char labels[PLACES][LABEL + 1]; /* of the token of each session */

static int told_of(const char *word, const char *label) {
  char both[16 + LABEL];
  snprintf(both, sizeof both, "%s=%s", word, label);
  return told(both);
}

static void label_of(ck_ulong slot, char *label) {
  unsigned char info[512];
  label[0] = 0;
  if (real.fn[GET_TOKEN_INFO](slot, info) != CKR_OK) return;
  memcpy(label, info, LABEL);
  label[LABEL] = 0;
  for (int i = LABEL - 1; i >= 0 && label[i] == ' '; i--) label[i] = 0;
}

static void wait_for(const char *word) {
  while (told(word)) usleep(20000);
}

static ck_rv finalize(void *reserved) {
  wait_for("no-end");
  return real.fn[FINALIZE](reserved);
}

static ck_rv initialize(void *args) {
  wait_for("no-init");
  lost = told("lost");
  sessions = 0;
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
  char label[LABEL + 1];
  if (told("away")) return CKR_TOKEN_NOT_PRESENT;
  label_of(slot, label);
  while (told_of("stall", label)) usleep(20000);
  if (told_of("away", label)) return CKR_TOKEN_NOT_PRESENT;
  ck_rv rv = real.fn[GET_TOKEN_INFO](slot, info);
  ck_ulong flags;
  memcpy(&flags, info + TOKEN_FLAGS, sizeof flags);
  if (told("locked")) flags |= CKF_USER_PIN_LOCKED;
  if (told("low")) flags |= CKF_USER_PIN_COUNT_LOW;
  memcpy(info + TOKEN_FLAGS, &flags, sizeof flags);
  memcpy(info + SESSION_COUNT, &sessions, sizeof sessions);
  return rv;
}

static ck_rv open_session(ck_ulong slot, ck_ulong flags, void *application, ck_fn notify, ck_ulong *session) {
  char label[LABEL + 1];
  label_of(slot, label);
  if (told_of("away", label)) return CKR_TOKEN_NOT_PRESENT;
  ck_rv rv = real.fn[OPEN_SESSION](slot, flags, application, notify, session);
  if (rv == CKR_OK) memcpy(labels[*session % PLACES], label, sizeof label);
  if (rv == CKR_OK) __atomic_add_fetch(&sessions, 1, __ATOMIC_SEQ_CST);
  return rv;
}

static ck_rv close_session(ck_ulong session) {
  wait_for("no-close");
  ck_rv rv = real.fn[CLOSE_SESSION](session);
  if (rv == CKR_OK) __atomic_sub_fetch(&sessions, 1, __ATOMIC_SEQ_CST);
  return rv;
}

static ck_rv get_mechanism_list(ck_ulong slot, ck_ulong *list, ck_ulong *count) {
  ck_rv rv = real.fn[GET_MECHANISM_LIST](slot, list, count);
  if (rv != CKR_OK || !list) return rv;
  if (told("hashes"))
    for (ck_ulong i = 0; i < *count; i++)
      if (list[i] == CKM_ECDSA) list[i] = CKM_ECDSA_SHA256;
  int no_eddsa = told("no-eddsa"), kwp = told("kwp");
  for (ck_ulong i = 0; i < *count;) {
    int out = (no_eddsa && list[i] == CKM_EDDSA) || (kwp && (list[i] == CKM_AES_GCM || list[i] == CKM_AES_KEY_WRAP_PAD));
    if (out) list[i] = list[--*count];
    else i++;
  }
  return rv;
}

static ck_rv get_mechanism_info(ck_ulong slot, ck_ulong type, void *info) {
  if (type == CKM_AES_KEY_WRAP_KWP && told("kwp")) type = CKM_AES_KEY_WRAP_PAD;
  return real.fn[GET_MECHANISM_INFO](slot, type, info);
}

static ck_rv wrap_key(ck_ulong session, struct mechanism *how, ck_ulong with, ck_ulong key, void *out, ck_ulong *length) {
  struct mechanism mine = *how;
  if (mine.type == CKM_AES_KEY_WRAP_KWP && told("kwp")) mine.type = CKM_AES_KEY_WRAP_PAD;
  return real.fn[WRAP_KEY](session, &mine, with, key, out, length);
}

static ck_rv unwrap_key(ck_ulong session, struct mechanism *how, ck_ulong with, void *wrapped, ck_ulong length,
                        void *template, ck_ulong count, ck_ulong *key) {
  struct mechanism mine = *how;
  if (mine.type == CKM_AES_KEY_WRAP_KWP && told("kwp")) mine.type = CKM_AES_KEY_WRAP_PAD;
  return real.fn[UNWRAP_KEY](session, &mine, with, wrapped, length, template, count, key);
}

static ck_rv get_session_info(ck_ulong session, void *info) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  return real.fn[GET_SESSION_INFO](session, info);
}

static ck_rv login(ck_ulong session, ck_ulong user, void *pin, ck_ulong length) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  count_login();
  if (told("unclear")) return CKR_GENERAL_ERROR;
  return real.fn[LOGIN](session, user, pin, length);
}

/* Whether a template wants an object that is gone with its session. */
static int passes(struct attribute *template, ck_ulong count) {
  for (ck_ulong i = 0; i < count; i++)
    if (template[i].type == CKA_TOKEN && !*(unsigned char *)template[i].value) return 1;
  return 0;
}

static ck_rv create_object(ck_ulong session, void *template, ck_ulong count, ck_ulong *object) {
  if (told("full")) return CKR_DEVICE_MEMORY;
  if (told("resident") && passes(template, count)) return CKR_ATTRIBUTE_VALUE_INVALID;
  return real.fn[CREATE_OBJECT](session, template, count, object);
}

static ck_rv get_attribute_value(ck_ulong session, ck_ulong object, struct attribute *template, ck_ulong count) {
  ck_rv rv = real.fn[GET_ATTRIBUTE_VALUE](session, object, template, count);
  for (ck_ulong i = 0; i < count && told("lies"); i++)
    if (template[i].type == CKA_TOKEN && template[i].value && template[i].length == 1) *(unsigned char *)template[i].value = 1;
  return rv;
}

static ck_rv generate_key(ck_ulong session, void *how, struct attribute *template, ck_ulong count, ck_ulong *key) {
  static unsigned char no = 0;
  struct attribute mine[32];
  if (told("resident") && passes(template, count)) return CKR_ATTRIBUTE_VALUE_INVALID;
  if (!told("passing") || count > 32) return real.fn[GENERATE_KEY](session, how, template, count, key);
  memcpy(mine, template, count * sizeof *mine);
  for (ck_ulong i = 0; i < count; i++)
    if (mine[i].type == CKA_TOKEN) mine[i].value = &no;
  return real.fn[GENERATE_KEY](session, how, mine, count, key);
}

static ck_rv generate_key_pair(ck_ulong session, void *mechanism, struct attribute *public, ck_ulong public_count, void *private,
                               ck_ulong private_count, ck_ulong *public_key, ck_ulong *private_key) {
  static const char name[] = "\x13\x09secp256k1", oid[] = "\x06\x05\x2b\x81\x04\x00\x0a";
  wait_for("slow-key");
  if (told("full")) return CKR_DEVICE_MEMORY;
  if (told("resident") && passes(private, private_count)) return CKR_ATTRIBUTE_VALUE_INVALID;
  for (ck_ulong i = 0; i < public_count && told("names"); i++) {
    if (public[i].type != CKA_EC_PARAMS) continue;
    if (*(char *)public[i].value == 0x06) return CKR_CURVE_NOT_SUPPORTED;
    /* SoftHSM2 knows Edwards curves by name, and others not. */
    if (public[i].length == sizeof name - 1 && !memcmp(public[i].value, name, sizeof name - 1)) {
      public[i].value = (void *)oid;
      public[i].length = sizeof oid - 1;
    }
  }
  return real.fn[GENERATE_KEY_PAIR](session, mechanism, public, public_count, private, private_count, public_key, private_key);
}

static ck_rv find_objects_init(ck_ulong session, void *template, ck_ulong count) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  return real.fn[FIND_OBJECTS_INIT](session, template, count);
}

static ck_rv find_objects(ck_ulong session, ck_ulong *objects, ck_ulong most, ck_ulong *count) {
  ck_rv rv = real.fn[FIND_OBJECTS](session, objects, most, count);
  if (told("vanish")) *count = 0;
  if (told("many")) *count = 1000;
  return rv;
}

static ck_rv sign_init(ck_ulong session, ck_ulong *mechanism, ck_ulong key) {
  if (session_gone()) return CKR_SESSION_HANDLE_INVALID;
  int was = logged_out;
  logged_out = told("logout");
  if (logged_out && !was) {
    real.fn[LOGOUT](session);
    return CKR_USER_NOT_LOGGED_IN;
  }
  if (*mechanism == CKM_EDDSA && told("no-eddsa")) return CKR_MECHANISM_INVALID;
  if (told("hashes")) {
    if (*mechanism == CKM_ECDSA) return CKR_MECHANISM_INVALID;
    if (*mechanism == CKM_ECDSA_SHA256) {
      hashing_key = key;
      return CKR_OK;
    }
  }
  return real.fn[SIGN_INIT](session, mechanism, key);
}

static ck_rv sign(ck_ulong session, void *data, ck_ulong length, void *signature, ck_ulong *signature_length) {
  while (told("hang") || told_of("hang", labels[session % PLACES])) usleep(20000);
  while (length < 64 && told("hang-short")) usleep(20000);
  if (length < 64 && told("refuse-short")) return CKR_FUNCTION_FAILED;
  if (told("huge") && !signature) {
    *signature_length = ~0ul;
    return CKR_OK;
  }
  if (hashing_key) {
    struct mechanism sha256 = {CKM_SHA256, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    unsigned char digest[32];
    ck_ulong digest_length = sizeof digest, key = hashing_key;
    *signature_length = 64;
    if (!signature) return CKR_OK;
    hashing_key = 0;
    ck_rv rv = real.fn[DIGEST_INIT](session, &sha256);
    if (rv == CKR_OK) rv = real.fn[DIGEST](session, data, length, digest, &digest_length);
    if (rv == CKR_OK) rv = real.fn[SIGN_INIT](session, &ecdsa, key);
    return rv == CKR_OK ? real.fn[SIGN](session, digest, digest_length, signature, signature_length) : rv;
  }
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
    ours.fn[FINALIZE] = (ck_fn)finalize;
    ours.fn[GET_SLOT_LIST] = (ck_fn)get_slot_list;
    ours.fn[GET_TOKEN_INFO] = get_token_info;
    ours.fn[GET_MECHANISM_LIST] = (ck_fn)get_mechanism_list;
    ours.fn[GET_MECHANISM_INFO] = (ck_fn)get_mechanism_info;
    ours.fn[OPEN_SESSION] = (ck_fn)open_session;
    ours.fn[CLOSE_SESSION] = (ck_fn)close_session;
    ours.fn[WRAP_KEY] = (ck_fn)wrap_key;
    ours.fn[UNWRAP_KEY] = (ck_fn)unwrap_key;
    ours.fn[GET_SESSION_INFO] = get_session_info;
    ours.fn[LOGIN] = login;
    ours.fn[CREATE_OBJECT] = create_object;
    ours.fn[GET_ATTRIBUTE_VALUE] = (ck_fn)get_attribute_value;
    ours.fn[GENERATE_KEY] = (ck_fn)generate_key;
    ours.fn[FIND_OBJECTS_INIT] = find_objects_init;
    ours.fn[FIND_OBJECTS] = find_objects;
    ours.fn[SIGN_INIT] = sign_init;
    ours.fn[SIGN] = sign;
    ours.fn[GENERATE_KEY_PAIR] = generate_key_pair;
  }
  *list = &ours;
  return CKR_OK;
}
