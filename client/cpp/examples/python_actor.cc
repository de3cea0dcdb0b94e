// A Python object driven from C++: an actor of a class in Python's own library, called by its name.
#include <kiln/kiln.h>

#include <iostream>

int main(int argc, char** argv) {
  kiln::Session session = kiln::Connect(argc, argv);
  // statistics.NormalDist(100, 15), in a Python process of its own.
  kiln::AnyActor scores = session.Create(kiln::PyActor{"statistics", "NormalDist"}, 100.0, 15.0);
  kiln::Ref<double> below = scores.Call<double>("cdf", 130.0);
  kiln::Ref<double> median = scores.Call<double>("inv_cdf", 0.5);
  std::cout << session.Get(median) << ", " << session.Get(below) << '\n';  // 100, 0.97725
}
