// Expect: could not convert|cannot convert|conversion from
#include <kiln/kiln.h>

std::string Try(kiln::Session& session, kiln::Ref<int> number) {
  return session.Get(number);
}
