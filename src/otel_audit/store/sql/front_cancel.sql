-- Stop the query whose text begins with this mark. This statement has the mark as a parameter, not in its text.
KILL QUERY WHERE startsWith(query, {mark:String}) ASYNC
