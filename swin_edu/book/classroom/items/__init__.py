"""What is asked, one file a chapter or assignment: reference, inputs, known mistakes, other right answers."""
