defmodule Rhizome.ViewTest do
  # Views and tables in the protocols of the standard library.
  use Rhizome.Case, async: true

  setup do
    %{store: start_store()}
  end

  describe "Enumerable" do
    test "agrees with the list of the elements", %{store: store} do
      pairs = for n <- 1..50, do: {rem(n, 7), n}

      for view <- [
            table(store, :set, Enum.to_list(1..50)),
            table(store, :set),
            table(store, :to_one, pairs),
            table(store, :pom, Enum.to_list(1..50)),
            table(store, :many_to_many, pairs),
            Rhizome.bwd(table(store, :one_to_many, pairs)),
            Rhizome.fwd(table(store, :to_many, pairs), 3),
            Rhizome.bwd(table(store, :many_to_one, pairs), 3)
          ] do
        list = Rhizome.to_list(view)
        assert Enum.to_list(view) == list
        assert Enum.count(view) == length(list)
        assert Enum.map(view, & &1) == list
        assert Enum.all?(list, &(&1 in view))
        refute :nothing in view
        refute {:nothing, 1, 2} in view
        assert Enum.at(view, 3) == Enum.at(list, 3)
        assert Enum.at(view, -1) == Enum.at(list, -1)
        assert Enum.take(view, -2) == Enum.take(list, -2)
        assert Enum.take(view, 3) == Enum.take(list, 3)
        assert Enum.reverse(view) == Enum.reverse(list)
        assert Enum.zip(view, view) == Enum.zip(list, list)

        for range <- [0..2, 2..-2, -3..-1, 1..100, 5..40//7, 60..70, 3..1//1] do
          assert Enum.slice(view, range) == Enum.slice(list, range)
          assert Rhizome.slice(view, range) == Enum.slice(list, range)
        end
      end
    end

    test "stops when it is told to, and asks for no more than it needs", %{store: store} do
      set = table(store, :set, Enum.to_list(1..100))
      before = Rhizome.info(store).commands
      assert set |> Rhizome.stream(page_size: 10) |> Enum.take(15) == Enum.to_list(1..15)
      assert Enum.count(set) == 100
      assert Enum.slice(set, 40, 3) == [41, 42, 43]
      assert 7 in set
      # two pages; a count; a count and a page; a look; and this one
      assert Rhizome.info(store).commands - before == 7
    end

    test "is lazy and can be suspended", %{store: store} do
      set = table(store, :set, Enum.to_list(1..10))
      step = fn element, _acc -> {:suspend, element} end
      {:suspended, 1, continue} = Enumerable.reduce(set, {:cont, nil}, step)
      {:suspended, 2, continue} = continue.({:cont, nil})
      assert {:halted, :enough} = continue.({:halt, :enough})
    end
  end

  describe "Collectable" do
    test "inserts what it is given, in chunks", %{store: store} do
      set = table(store, :set)
      before = Rhizome.info(store).seq
      assert Enum.into(1..2_500, set) == set
      assert Enum.to_list(set) == Enum.to_list(1..2_500)
      assert Rhizome.info(store).seq - before == 3
    end

    test "works through both sides, held sets and poms", %{store: store} do
      owns = table(store, :one_to_many)
      Enum.into([sword: :ann], Rhizome.bwd(owns))
      Enum.into([:bow, :axe], Rhizome.fwd(owns, :bob))
      assert Enum.to_list(owns) == [ann: :sword, bob: :axe, bob: :bow]
      pom = for value <- ["a", "b"], into: table(store, :pom), do: value
      assert Enum.to_list(pom) == [{1, "a"}, {2, "b"}]
    end

    test "keeps what was written when it is halted, and raises what the store says",
         %{store: store} do
      set = table(store, :set)

      assert_raise RuntimeError, fn ->
        Enum.into(Stream.map(1..1_500, &if(&1 == 1_200, do: raise("stop"), else: &1)), set)
      end

      assert Rhizome.count(set) == 1_000
      Rhizome.drop_table!(set)
      assert_raise Rhizome.Error, ~r/no_table/, fn -> Enum.into([1], set) end
    end
  end

  describe "Inspect" do
    test "is short and shows no data" do
      table = Rhizome.handle(MyStore, :owns, :one_to_many)
      assert inspect(table) == "#Rhizome.Table<:owns (one_to_many), MyStore>"

      assert inspect(Rhizome.bwd(table)) ==
               "#Rhizome.View<the bwd side of :owns (one_to_many), MyStore>"

      refute inspect(Rhizome.fwd(table, "secret")) =~ "secret"
    end
  end
end
