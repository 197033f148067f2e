// Parameters that were packed before, as Python holds them.
#pragma once

#include <stdint.h>

#include <vector>

#include "host/packed_weights.h"
#include "python/arrays.h"
#include "python/bindings.h"

namespace fastgru::python {

// Whether a tensor is what it was. A write is seen by torch's version counter, which an alias of a parameter shares
// with it. A tensor that was made in inference mode has none, so its values are kept and compared.
class Watch {
  public:
    Watch(nb::handle tensor, Type type);
    bool is_current() const;

  private:
    int64_t version() const;  // below 0: it has none
    // Null when the tensor is not dense.
    const void* values(size_t& bytes) const;

    nb::object tensor_;
    Type type_;
    int64_t version_;
    std::vector<char> values_;
};

// Parameters packed once for many calls, for as long as they are what they were: the same objects, and not written
// to.
class Packed {
  public:
    // `watches` are plain aliases of the parameters, `dense` the same values in dense memory; `stored` is what
    // weights become: the type of the layer, or one of fewer bytes for a layer of float32.
    Packed(const LayerSizes& sizes, Type stored, nb::tuple parameters, nb::handle watches, nb::handle dense);

    // False when a parameter was written to since.
    bool is_current() const;
    // Whether the values of this dict are the parameters, the very objects, and the level is still the one that
    // runs.
    bool holds(nb::handle parameters) const;

    const LayerSizes& sizes() const { return sizes_; }
    Type stored() const { return stored_; }
    const KernelTable& table() const { return *weights_.table; }
    const void* values() const { return weights_.memory.data(); }

  private:
    LayerSizes sizes_;
    Type stored_;
    PackedWeights weights_;
    nb::tuple parameters_;
    std::vector<Watch> watches_;
};

}  // namespace fastgru::python
