#include "common/shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <string>
#include <utility>

#include "common/parallel_for.h"

namespace kiln::shm {
namespace {

namespace bip = boost::interprocess;

// What one thread reserves before it takes the next piece: 2 to 6 ms of work.
constexpr uint64_t kReservePieceBytes = uint64_t{8} << 20;

Status SystemError(const std::string& what) {
  return Status(Code::kResourceExhausted, what + ": " + strerror(errno));
}

uint64_t AlignDown(uint64_t offset, uint64_t alignment) {
  return offset / alignment * alignment;
}
uint64_t AlignUp(uint64_t offset, uint64_t alignment) {
  return AlignDown(offset + alignment - 1, alignment);
}

// Address space that begins at a multiple of kHugePageBytes, as mapping a huge page needs; to be
// mapped over. Returns: null if there is none.
void* ReserveSpace(size_t size_bytes) {
  size_t with_slack = size_bytes + kHugePageBytes;
  void* space =
      mmap(nullptr, with_slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(space);
  size_t skipped = -reinterpret_cast<uintptr_t>(space) % kHugePageBytes;
  if (skipped > 0) munmap(begin, skipped);
  munmap(begin + skipped + size_bytes, kHugePageBytes - skipped);
  return begin + skipped;
}

// What mapped_region asks for: a descriptor that stays ours.
struct Mappable {
  int fd;
  bip::mapping_handle_t get_mapping_handle() const {
    return bip::ipcdetail::mapping_handle_from_file_handle(fd);
  }
};

// The first failure among several threads.
class FirstFailure {
 public:
  void Note(Status status) {
    status_.With([&](Status& first) {
      if (first.ok()) first = std::move(status);
    });
  }
  Status Take() {
    return status_.With([](Status& first) { return std::move(first); });
  }

 private:
  Guarded<Status> status_;
};

}  // namespace

struct Segment::Mapping {
  bip::mapped_region region;
};

Segment::Segment(int fd, uint64_t size_bytes, PageKind pages, std::unique_ptr<Mapping> mapping)
    : fd_(fd),
      size_bytes_(size_bytes),
      pages_(pages),
      mapping_(std::move(mapping)),
      base_(static_cast<std::byte*>(mapping_->region.get_address())) {}

Segment::~Segment() {
  close(fd_);
}

Result<std::unique_ptr<Segment>> Segment::Map(int fd, uint64_t size_bytes, PageKind pages) {
  void* space = ReserveSpace(size_bytes);
  try {
    if (!space) throw bip::interprocess_exception(bip::error_info(bip::system_error_code()));
    auto mapping = std::make_unique<Mapping>();
    mapping->region =
        bip::mapped_region(Mappable{fd}, bip::read_only, 0, size_bytes, space, MAP_FIXED);
    return std::unique_ptr<Segment>(new Segment(fd, size_bytes, pages, std::move(mapping)));
  } catch (const bip::interprocess_exception& error) {
    if (space) munmap(space, size_bytes);
    close(fd);
    return Status(
        Code::kResourceExhausted,
        "cannot map the object store (" + std::to_string(size_bytes) + " bytes): " + error.what());
  }
}

Result<std::unique_ptr<Segment>> Segment::Create(uint64_t size_bytes, PageKind pages) {
  size_bytes = AlignUp(size_bytes, kPageBytes);
  int fd = memfd_create("kiln-store", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return SystemError("cannot create a memory file for the object store");
  // Sealed against resizing: no peer can make another one's access fail.
  if (ftruncate(fd, static_cast<off_t>(size_bytes)) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    Status status =
        SystemError("cannot size the object store to " + std::to_string(size_bytes) + " bytes");
    close(fd);
    return status;
  }
  Result<std::unique_ptr<Segment>> segment = Map(fd, size_bytes, pages);
  if (!segment.ok() || pages == PageKind::k4k) return segment;
  if (size_bytes < kHugePageBytes) {
    return Status(Code::kFailedPrecondition, "an object store of " + std::to_string(size_bytes) +
                                                 " bytes is smaller than one huge page");
  }
  if (Status status = TakeHugePages((*segment)->Range(0, kHugePageBytes)); !status.ok()) {
    return status;
  }
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::Attach(int fd, uint64_t ticket) {
  uint64_t size_bytes = AlignDown(ticket, kPageBytes);
  uint64_t kind = ticket - size_bytes;
  struct stat info;
  int seals = fcntl(fd, F_GET_SEALS);
  if (fstat(fd, &info) != 0 || static_cast<uint64_t>(info.st_size) != size_bytes || seals < 0 ||
      !(seals & F_SEAL_SHRINK) || kind > static_cast<uint64_t>(PageKind::kHuge)) {
    close(fd);
    return Status(Code::kInvalidArgument, "what the head sent is not its object store");
  }
  return Map(fd, size_bytes, static_cast<PageKind>(kind));
}

// Whole blocks only. That some get no huge page is no error: they have smaller ones.
Status Segment::TakeHuge(uint64_t begin, uint64_t end) const {
  begin = AlignUp(begin, kHugePageBytes);
  end = AlignDown(end, kHugePageBytes);
  if (begin >= end) return Status();
  FirstFailure failure;
  ParallelFor(end - begin, kReservePieceBytes, [&](size_t from, size_t to) {
    failure.Note(TakeHugePages(Range(begin + from, begin + to)));
  });
  return failure.Take();
}

// Pages are taken here and not by a write, where a lack of memory would be a SIGBUS; and mapped
// here, where it costs half of what a fault costs and several threads can do it.
Status Segment::MakeWritable(uint64_t begin, uint64_t end) {
  bool known = reserved_.With([&](IntervalSet& set) { return set.Covers(begin, end); });
  if (!known && pages_ == PageKind::kHuge) (void)TakeHuge(begin, end);
  if (mprotect(base_ + begin, end - begin, PROT_READ | PROT_WRITE) != 0) {
    return SystemError("cannot make " + std::to_string(end - begin) + " bytes writable");
  }
  if (known) return Status();
  FirstFailure failure;
  ParallelFor(end - begin, kReservePieceBytes, [&](size_t from, size_t to) {
    failure.Note(TakeAndMapPages(Range(begin + from, begin + to)));
  });
  Status status = failure.Take();
  if (status.ok()) reserved_.With([&](IntervalSet& set) { set.Add(begin, end); });
  return status;
}

Result<std::byte*> Segment::BeginWrite(uint64_t offset_bytes, uint64_t size_bytes) {
  if (size_bytes == 0) return base_ + offset_bytes;
  uint64_t end = offset_bytes + AlignUp(size_bytes, kPageBytes);
  if (Status status = MakeWritable(offset_bytes, end); !status.ok()) {
    EndWrite(offset_bytes, size_bytes);
    return status;
  }
  return base_ + offset_bytes;
}

void Segment::EndWrite(uint64_t offset_bytes, uint64_t size_bytes) {
  // Fails only when the kernel cannot split a mapping; the pages then stay writable for us alone.
  (void)mprotect(base_ + offset_bytes, AlignUp(size_bytes, kPageBytes), PROT_READ);
}

// Pages of 4 KiB are taken by mapping them: fallocate leaves it to the first fault to clear a page,
// which is most of its cost.
Status Segment::Prefault(uint64_t begin, uint64_t end) {
  if (pages_ == PageKind::kHuge && begin % kHugePageBytes == 0 && end % kHugePageBytes == 0) {
    Status status = TakeHugePages(Range(begin, end));
    (void)madvise(base_ + begin, end - begin, MADV_DONTNEED);  // of this mapping, not of the file
    if (status.ok()) return status;
  }
  size_t size = end - begin;
  void* window =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, static_cast<off_t>(begin));
  if (window == MAP_FAILED) return SystemError("cannot map " + std::to_string(size) + " bytes");
  Status status = TakeAndMapPages({fd_, begin, static_cast<std::byte*>(window), size});
  munmap(window, size);
  return status;
}

}  // namespace kiln::shm
