// Plain values from msgpack: see plain_encoder.h. The bytes may be anything.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace kiln::python {

class Session;

class PlainDecoder {
 public:
  PlainDecoder(const std::shared_ptr<Session>& session, std::string_view bytes)
      : session_(session), rest_(bytes) {}

  // Returns: a new reference; null with ValueError set if the bytes are not one value.
  PyObject* Decode();

 private:
  PyObject* Next(int depth);
  PyObject* NextOf(uint8_t first, int depth);
  PyObject* NextList(uint64_t count, int depth);
  PyObject* NextDict(uint64_t count, int depth);
  PyObject* NextExtension(uint64_t size, int depth);
  PyObject* Text(uint64_t size);
  PyObject* Bytes(uint64_t size);
  bool Take(uint64_t count, std::string_view* taken);
  bool Number(int bytes, uint64_t* number);

  const std::shared_ptr<Session>& session_;
  std::string_view rest_;
};

}  // namespace kiln::python
